"""The .dpomdp file format of the MADP toolbox, as text: read tolerantly, written strictly, the same model after both.

``reader`` is the front door, ``writer`` the way out. No file is opened here.
"""
