import ArgumentParser

@main struct USP: ParsableCommand {}
