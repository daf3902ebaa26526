"""What others have published, brought into stores of the same form."""
