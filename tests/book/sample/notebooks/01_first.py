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
# # A first page
#
# How many donors are there?

# %%
import matplotlib.pyplot as plt
import polars as pl

from helpers import findings, style

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"count": 2}}
count: int = 3  # donors made up [1, 20]
label: str = "FB"  # cell type {FB, MuSC, NK}
share: float = 0.5  # fraction kept [0, 1]
loud: bool = False  # whether to say more
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %%
note = findings.begin("01_first", globals())

# %% tags=["hide-input", "finding"]
note.record("donors", count, "donors")
note.record("kind", label)
note.say("Counted **{donors}** of kind {kind}.")

# %% mystnb={"figure": {"caption": "Dots.", "name": "fig-01-dots"}, "image": {"alt": "Three dots on a line"}} tags=["hide-input"]
figure, axes = plt.subplots(figsize=(5.6, 2))
dots = axes.plot(range(count), "o")

# %%
note.table(pl.DataFrame({"donor": [f"<script>{i}" for i in range(count)]}), "Donors.", name="donors")

# %% [markdown] tags=["exercise"]
# ## What to try
#
# ### Exercise: Twice (5 minutes)
#
# Write a function that doubles.
#
# <details><summary>Hint</summary>
#
# Multiply.
#
# </details>


# %% tags=["solution", "hide-cell"]
def twice(value):
    return 2 * value


twice(count)  # check("01.twice", twice)

# %% tags=["hide-input"]
note.provenance({"kind": "made up"})
