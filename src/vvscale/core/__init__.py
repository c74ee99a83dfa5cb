"""Plumbing that knows no science: configuration, files written whole, downloads, registries.

It imports only ``vvscale.errors``. Fixed is what earlier results were stored with: both digests of plain values
(``config.digest``, ``hashing.digest_of``), the seal of records (``jsonable``), where ``download`` keeps files, the seed
``options.SEED``, and the entry-point groups ``vvscale.KIND`` (``registry``). A change of ``hashing.source_digest`` has
every score computed again. Everything else may change.
"""
