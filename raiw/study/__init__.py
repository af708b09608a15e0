"""Methods compared: by the graphs they craft, and by the accuracy of networks trained with them."""
