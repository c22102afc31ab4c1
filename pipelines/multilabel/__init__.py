"""Which labels does a text have: ToxicComment, PaperAbstract, GoEmotions, or a CSV of the same form."""
