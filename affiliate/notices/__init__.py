"""Who is told what happened, in their language: letters by mail, or kept in the outbox."""
