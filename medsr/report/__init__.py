"""The report of a result: documents, pictures and the view, in words that promise no more than was measured.

Each is imported by its module, so that a page can use words and pictures without loading torch.
"""

__all__: list[str] = []
