// Header section "version".

import CUSP
import USPBase
import USPKit

private let texts = InternedTexts()

@_cdecl("usp_version") @implementation public func usp_version() -> UnsafePointer<CChar>? {
    texts.pointer(version)
}

@_cdecl("usp_abi_version") @implementation public func usp_abi_version() -> UInt32 {
    UInt32(USP_ABI_VERSION)
}

@_cdecl("usp_build_info") @implementation public func usp_build_info() -> UnsafePointer<CChar>? {
    texts.pointer(buildInformation)
}
