"""hzbench: does an optimizer do what its theory says, and with which error rate do we know?"""
