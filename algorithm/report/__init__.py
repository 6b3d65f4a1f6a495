"""What a person would rather look at than read: a run's results as one HTML page, or as a crate.

`results` reads what a run left, `steps` and `learning` say what happened, `charts` draws it,
`page` and `compare` write HTML, and `crate` describes the files for a repository.
"""
