"""Open a MODEL, in whatever form the user has it, as an ``nn.Module``.

:func:`advtool.target.opening.opener.open_model` opens any MODEL. :mod:`advtool.target.opening.kinds` tells the kinds
apart and checks that the files exist, without importing torch. Each kind has a file with its function ``make``.
"""
