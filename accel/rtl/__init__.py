"""The machine as hardware: SystemVerilog of its arrays, emitted, compiled and replayed."""
