"""The listening test: drawn from a manifest, taken in a browser, answered into the table that models fill too."""
