"""The subcommands of the command line: a module each, which `gradverify.cli` lists."""
