// helpers of the tests
