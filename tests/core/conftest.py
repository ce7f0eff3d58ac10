"""Properties have no deadline, since the machine decides how long an example takes."""

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
