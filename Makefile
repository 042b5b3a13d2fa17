# The contributor path; `make` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
TOOL := .build/release/usp-cli
export PREFIX DESTDIR BINDIR LIBDIR INCLUDEDIR DATADIR DEBUGDIR ZSHDIR

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: ## install the Debian packages that are missing
	@scripts/setup.sh

build: setup ## build library and command line tool (release)
	@scripts/argument-parser.sh
	swift build -c release

mpi: ## the plug-in for MPI, .build/release/libusp-mpi.so (MPICC=mpicc)
	@scripts/mpi.sh $(FOLDER)

demo: build ## the whole idea on real pictures, in some twenty minutes: out/demo/index.html
	$(TOOL) demo --out out/demo $(DEMO)

test: setup ## everything: Swift, header and ABI, C, Python, examples
	@scripts/test.sh

format: ## Swift sources as .swift-format says
	swift format format -i -p -r Package.swift Sources Tests examples scripts

quick: setup ## format, header, symbols, the C tests and the Swift tests
	swift format lint -s -p -r Package.swift Sources Tests examples scripts
	swift build -c release
	Tests/ABI/run.sh
	swift test -c release --no-parallel

fuzz: setup ## mutated files through every reader for a bounded time (SECONDS=60)
	swift run -c release usp-fuzz --seconds $(or $(SECONDS),60)

sanitize: setup ## kernels, readers and C tests under sanitizers (KINDS="address undefined thread")
	@scripts/sanitize.sh $(KINDS)

golden: ## make the golden tensors again (PYTHON = a Python with torch, timm, diffusers)
	$(or $(PYTHON),python3) Tests/Golden/make_golden.py

abi: setup ## write again what header, Python and tool say of options, prototypes, symbols
	swift build -c $${CONFIGURATION:-release} $(SWIFTFLAGS) --product usp-tables
	scripts/generate_doors.py
	bindings/python/generate_abi.py
	@touch Sources/USPC/*.swift # incremental builds miss nested headers

bench: build ## our speed, and with PEERS=path/to/python the peers' on the same tensors
	benchmarks/run.sh $(PEERS)

stage: ## build what is installed and packaged: .build/stage
	@scripts/stage.sh

install: stage ## library, header, pkg-config, CMake, tool, manual (PREFIX=/usr/local DESTDIR=)
	@scripts/install.sh install

install-debug: ## their debug symbols
	@scripts/install.sh install-debug

test-install: stage wheel ## what is installed and packaged, and programs that use it
	@Tests/Install/run.sh
	@Tests/Install/abi.sh
	@Tests/Install/wheel.sh

uninstall: ## remove what install and install-debug put there
	@scripts/install.sh uninstall

dist: ## a source archive that builds without a network: dist/usp-*.tar.xz
	@scripts/dist.sh

docs: build ## the documentation site: out/docs/index.html
	@scripts/docs.sh

wheel: ## one wheel for every Python: dist/usp-*.whl
	@scripts/wheel.sh

deb: stage ## Debian packages: dist/*.deb
	@scripts/deb.sh

test-bare: deb ## the packages in a bare Debian made by debootstrap (root; before a release)
	@Tests/Install/bare.sh

reproduce: ## two builds in two folders give the same bytes (two clean builds; before a release)
	@scripts/reproduce.sh

abi-check: ## compare the header with the kept ABI of its number (abigail-tools)
	@packaging/abi/abi.py check

abi-dump: ## keep the header's ABI, at the release of a new number
	@packaging/abi/abi.py keep

clean: ## remove what was built
	rm -rf .build out

.PHONY: help setup build mpi demo test format quick fuzz golden abi bench clean \
	sanitize stage install install-debug uninstall test-install dist docs wheel deb test-bare reproduce abi-check abi-dump
