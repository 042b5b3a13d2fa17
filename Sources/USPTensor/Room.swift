// USPTensor
