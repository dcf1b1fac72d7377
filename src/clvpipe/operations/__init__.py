"""What people do with publications after the run: take one to a spreadsheet."""
