"""Pages for people; and public.py, which needs nobody to be signed in."""
