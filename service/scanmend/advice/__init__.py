"""Which way of scanning makes the best picture of a dose: even, sparse or adaptive, each really tried on pictures.

`question` says what can be asked and knows nothing of models, so that the web process can check a request with it.
`stage` is a specimen under the beam, `strategies` the ways to scan it, `compare` tries them all, `words` says what
came of it. Nothing here knows where pictures or detectors come from: the command `scanmend plan` brings both.
"""
