"""Why a score is what it is: what each input added to it, and in which words a bundle says so."""
