"""Test suites that certify a bundle store or a bundle index.

They need pytest, and nothing else of this package needs them. A provider is
tested by a class like this one in a test module::

    from hgext3rd.bundlestore.testing.store import StoreConformance

    class TestMyStore(StoreConformance):
        def makestore(self, place):
            return MyStore('mine:there', place)

The suites start processes that find the class by its name, so it stands at
the top level of its module, and is made without arguments there.
"""
