"""What can be asked about a row of pictures: wordings, right answers, where the evidence lies."""
