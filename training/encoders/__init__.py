"""Any encoder, ours or published, with its weights and the contract of its input."""
