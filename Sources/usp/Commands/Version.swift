// `usp version`

import ArgumentParser
import USPKit

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The version, the instruction set in use and the number of threads.")

    func run() throws {
        print("\(USPKit.buildInformation), \(USPKit.threads()) threads")
    }
}
