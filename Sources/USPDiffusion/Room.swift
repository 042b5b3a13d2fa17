// USPDiffusion: rooms are filled one by one; see CONTRIBUTING.md.
