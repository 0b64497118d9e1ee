"""What every other folder of the SDK uses: rules for texts and names, plain values, and sentences for people."""
