"""Who may do what, and who changed it. Pure.

    service   roles, users, tokens and whose a session is; what may be changed, and what is shown of it
    audit     the chain of changes
    permits   what one caller may do, compiled for being asked with every operation

Nothing of this is in force until the first role exists. The role `admin` exists always and cannot be changed; the user `operator` is
whoever shows the certificate of that name, has that role always, and so can never be locked out.
"""
