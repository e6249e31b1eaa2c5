"""pyoci under the engines that call runtimes; see README.md here."""
