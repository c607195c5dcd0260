"""What answers for every score afterwards: receipts, model events and the store, asked. Imports no Beam."""
