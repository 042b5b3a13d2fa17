// Header section "version".

import CUSP
import USPBase
import USPKit

@_cdecl("usp_version") @implementation public func usp_version() -> UnsafePointer<CChar>? {
    staticText(libraryVersion)
}

@_cdecl("usp_abi_version") @implementation public func usp_abi_version() -> UInt32 {
    UInt32(USP_ABI_VERSION)
}

private let buildTexts = InternedTexts()

@_cdecl("usp_build_info") @implementation public func usp_build_info() -> UnsafePointer<CChar>? {
    buildTexts.pointer(buildInformation)
}
