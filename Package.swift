// swift-tools-version: 6.2
// The rooms of usp in floor order: a room imports only rooms on lower floors.
import PackageDescription

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

/// The folder of the build stays out of what is shipped: two folders give the same bytes. (Tests keep
/// it: SwiftPM finds them by the paths in the index.)
let samePaths = "\(Context.packageDirectory)=."

/// What is shipped: without the concurrency and regular-expression modules, which nothing here uses and
/// which would be linked into the library.
let shipped: [SwiftSetting] =
    strict + [
        .unsafeFlags([
            "-file-prefix-map", samePaths,
            "-Xfrontend", "-disable-implicit-concurrency-module-import",
            "-Xfrontend", "-disable-implicit-string-processing-module-import",
        ])
    ]

/// Above tensors and files nothing of weight is computed in Swift: there the code is made small.
let small = shipped + [.unsafeFlags(["-Osize"], .when(configuration: .release))]

let hidden = ["-fvisibility=hidden", "-ffile-prefix-map=\(samePaths)"]

/// Per-element loops live in C; they are optimised in every configuration.
let kernelFlags: [CSetting] = [
    .unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=fast"] + hidden)
]

/// How `packaging/NAME.link` says that a product is linked; `scripts/link.sh` reads the same file. The
/// library cannot be unloaded (nodelete): its workers run for as long as the process lives.
func linked(_ name: String) -> [LinkerSetting] {
    [.unsafeFlags(["@\(Context.packageDirectory)/packaging/\(name).link"])]
}

func room(
    _ name: String, _ dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = small
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport"], path: path,
        swiftSettings: strict)
}

let package = Package(
    name: "usp",
    products: [
        .library(name: "usp", type: .dynamic, targets: ["USPC"]),
        .library(name: "USPKit", targets: ["USPKit"]),
        .executable(name: "usp-cli", targets: ["usp"]),
        .executable(name: "usp-examples", targets: ["USPExamples"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")
    ],
    targets: [
        // floor 0: the contract, the kernels, the borrowed libraries
        .systemLibrary(name: "CUSP", path: "include"),
        .target(name: "COpenBLAS", cSettings: [.unsafeFlags(hidden)]),
        .target(
            name: "CFiles", cSettings: [.unsafeFlags(hidden)],
            linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("z")]),
        .target(name: "CKernels", cSettings: kernelFlags),
        // floor 1: shapes, errors, random numbers, threads
        room("USPBase", settings: shipped),
        // floor 2: tensors and operations; formats without meaning
        room("USPTensor", ["USPBase", "CKernels"], settings: shipped),
        room("USPFiles", ["USPBase", "CFiles"], settings: shipped),
        // floor 3: models; noise processes and solvers; data sets
        room("USPModels", ["USPBase", "USPTensor", "USPFiles"]),
        room("USPDiffusion", ["USPBase", "USPTensor"]),
        room("USPData", ["USPBase", "USPTensor", "USPFiles", "CKernels"]),
        // floor 4: what one does with models
        room("USPTransfer", ["USPBase", "USPTensor", "USPFiles", "USPModels"]),
        room(
            "USPTraining",
            ["USPBase", "USPTensor", "USPFiles", "USPModels", "USPDiffusion", "USPData"]),
        room("USPEvaluation", ["USPBase", "USPTensor", "CKernels", "COpenBLAS"]),
        // floor 5: the Swift API that people read
        room(
            "USPKit",
            [
                "CUSP", "USPBase", "USPTensor", "USPFiles", "USPModels", "USPDiffusion", "USPData",
                "USPTransfer", "USPTraining", "USPEvaluation",
            ]),
        // floor 6: the C ABI, thin
        .target(
            name: "USPC", dependencies: ["USPKit", "CUSP"], swiftSettings: small,
            linkerSettings: linked("library")),
        // floor 7: the command line tool
        .executableTarget(
            name: "usp",
            dependencies: [
                "USPKit", "USPBase", "USPTensor", "USPFiles",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: small, linkerSettings: linked("tool")),
        // the tables of fields as JSON, for `make abi`
        .executableTarget(
            name: "usp-tables", dependencies: ["USPKit", "USPBase", "USPFiles", "USPModels"],
            path: "scripts/tables", swiftSettings: strict),
        // the Swift examples, one file a story
        .executableTarget(
            name: "USPExamples", dependencies: ["USPKit"], path: "examples/swift",
            swiftSettings: strict),
        // the kernel-level table of benchmarks
        .executableTarget(
            name: "usp-kernels", dependencies: ["USPBase", "USPTensor", "CKernels", "TestSupport"],
            path: "benchmarks/kernels", swiftSettings: strict),
        // tests, one folder per room
        .target(
            name: "TestSupport", dependencies: ["USPBase", "USPTensor", "USPFiles", "CKernels"],
            path: "Tests/TestSupport", swiftSettings: strict),
        tests("USPBaseTests", ["USPBase"]),
        tests("USPTensorTests", ["USPBase", "USPTensor", "CKernels"]),
        .executableTarget(
            name: "usp-fuzz", dependencies: ["USPBase", "USPFiles"], path: "Tests/Fuzz",
            swiftSettings: strict),
        tests("USPFilesTests", ["USPBase", "USPFiles"]),
        tests("USPModelsTests", ["USPBase", "USPTensor", "USPFiles", "USPModels"]),
        tests("USPDiffusionTests", ["USPBase", "USPTensor", "USPFiles", "USPDiffusion"]),
        tests("USPDataTests", ["USPBase", "USPTensor", "USPFiles", "USPData", "CKernels"]),
        tests(
            "USPTransferTests", ["USPBase", "USPTensor", "USPFiles", "USPModels", "USPTransfer"]),
        tests(
            "USPTrainingTests",
            [
                "USPBase", "USPTensor", "USPFiles", "USPModels", "USPDiffusion", "USPData",
                "USPTraining",
            ]),
        tests("USPEvaluationTests", ["USPBase", "USPTensor", "USPEvaluation"]),
        tests("USPKitTests", ["USPKit", "USPBase", "USPTensor", "USPFiles"]),
    ]
)
