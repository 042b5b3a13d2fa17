// USPBase
