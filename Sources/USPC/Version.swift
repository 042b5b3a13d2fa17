import CUSP
import USPKit

@_cdecl("usp_version") @implementation public func usp_version() -> UnsafePointer<CChar>? { nil }
