"""The bus between gateway and writer: one protocol, two implementations (`local`, `kafka`)."""
