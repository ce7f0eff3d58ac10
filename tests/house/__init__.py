"""The rules of the house, and its map.

rules       what a file may import, call and contain; `test_tidy` applies it to every file
fields      which fields a file sets although they are of another file
constants   which constants a file rebinds
map         which folder imports which: `python -m tests.house --map`
"""
