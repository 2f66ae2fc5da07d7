"""Every kind of repository with every way of pushing and pulling.

``table.py`` lists the kinds, ``steps.py`` what is done with each, ``scene.py``
has the repositories of one row, ``known.py`` what does not work and why, and
``page.py`` writes docs/compatibility.rst.
"""
