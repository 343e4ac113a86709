"""The page that `melbeam report` writes of a folder of features.

parts.py      what is shown: splits, and all that their reports say of them
remarks.py    what a person should look at first, in words
clips.py      which clips are pictured, and reading those
sounds.py     their audio, where it is asked for and at hand
pictures.py   figures as SVG inside the page, in the page's own colours
page.py       the page; sections.py and cards.py what stands in it; page.css how it looks
"""
