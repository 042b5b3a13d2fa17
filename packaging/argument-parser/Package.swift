// swift-tools-version: 6.0
// Swift Argument Parser 1.8.2 as a source archive of usp holds it: its library alone.
import PackageDescription

let package = Package(
    name: "swift-argument-parser",
    products: [.library(name: "ArgumentParser", targets: ["ArgumentParser"])],
    targets: [
        .target(name: "ArgumentParser", dependencies: ["ArgumentParserToolInfo"]),
        .target(name: "ArgumentParserToolInfo"),
    ])
