"""README and the pages of dadc_net/docs: what they say is run, and what is generated in them is compared.

console       commands and expected output in a page, and running them as typed
references    the generated pages
regenerate    python -m tests.docs.regenerate writes the generated pages anew
"""
