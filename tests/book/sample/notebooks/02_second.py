# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # A second page
#
# Does it break?

# %% tags=["parameters"]
breaks: bool = False  # whether a cell fails
rest: float = 0.0  # seconds to sleep [0, 60]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %%
import time

from helpers import budget, findings

note = findings.begin("02_second", globals())
time.sleep(rest)

# %% tags=["hide-input", "finding"]
note.record("whole", budget.to_bytes("1 KiB"), "bytes")
note.say("A size: {whole}.")

# %%
assert not breaks, "asked to break <b>here</b>"

# %% tags=["hide-input"]
note.provenance({"kind": "made up"})
