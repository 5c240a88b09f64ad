"""The controlled corpus: speech that sibboleth speaks itself, of which everything is known."""
