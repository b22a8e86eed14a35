"""A MODEL in whatever form the user has it becomes an ``nn.Module``.

:mod:`~advtool.target.opening.kinds` tells the kinds apart and sees whether the files are there, without importing
torch. :func:`advtool.target.opening.opener.open_model` opens.
"""
