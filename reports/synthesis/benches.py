"""Random data for synthesized modules: the inside of a test bench, as ``toggles.energy_by_toggles`` takes it."""

from __future__ import annotations

CYCLES = 400
_HELD_CYCLES = 32
"""How long an operand stays where it is held."""
_PRODUCTS = 8
"""Products in a sum that comes from above."""


def _clocked(ports: str, declarations: str, each_cycle: str) -> str:
    """A few cycles of reset that do not count, then ``CYCLES`` that do."""
    return f"""
        reg clk = 0, reset = 1;
        {declarations}
        netlist dut({ports});
        integer cycle, i;
        initial begin
            $dumpfile("bench.vcd");
            for (cycle = -8; cycle < {CYCLES}; cycle = cycle + 1) begin
                if (cycle == 0) $dumpvars(1, dut);
                reset = cycle < -4;
                {each_cycle}
                #200 clk = 1;
                #200 clk = 0;
            end
            $finish;
        end"""


def multiplier(a_bits: int, b_bits: int) -> str:
    """Signed operands, new ones in every cycle; products are checked."""
    return _clocked(
        ".clk(clk), .a(a), .b(b), .product(product)",
        f"reg signed [{a_bits - 1}:0] a = 0; reg signed [{b_bits - 1}:0] b = 0;"
        f" wire signed [{a_bits + b_bits - 1}:0] product;",
        "if (cycle > -8 && product !== a * b) $fatal; a = $random; b = $random;",
    )


def adder(bits: int) -> str:
    """Two random operands in every cycle."""
    return _clocked(
        ".a(a), .b(b), .sum(sum)",
        f"reg [{bits - 1}:0] a = 0, b = 0; wire [{bits - 1}:0] sum;",
        "if (cycle > -8 && sum !== a + b) $fatal; a = {$random, $random}; b = {$random, $random};",
    )


def pe_operand_stays(moving_bits: int, held_bits: int, sum_bits: int) -> str:
    """A new operand and a new sum from above in every cycle; the held operand changes now and then."""
    return _clocked(
        ".clk(clk), .reset(reset), .moving_in(moving), .bank_in(bank), .held_in(held), .load_in({2{load}}),"
        " .sum_in(sum)",
        f"reg [{moving_bits - 1}:0] moving = 0; reg [{held_bits - 1}:0] held = 0; reg bank = 0, load = 0;"
        f" reg signed [{sum_bits - 1}:0] sum = 0;"
        f" reg signed [{moving_bits - 1}:0] a; reg signed [{held_bits - 1}:0] b;",
        f"""load = cycle % {_HELD_CYCLES} == 0;
                held = $random;
                moving = $random;
                sum = 0;
                for (i = 0; i < {_PRODUCTS}; i = i + 1) begin a = $random; b = $random; sum = sum + a * b; end""",
    )


def pe_result_stays(moving_bits: int, other_bits: int, sum_bits: int) -> str:
    """Two new operands in every cycle; a sum begins now and then, and the one before leaves."""
    return _clocked(
        ".clk(clk), .reset(reset), .moving_in(moving), .control_in({1'b0, last, first}), .other_in(other),"
        " .initial_in(zero), .load_in(2'b00), .shift(1'b0), .result_in(zero)",
        f"reg [{moving_bits - 1}:0] moving = 0; reg [{other_bits - 1}:0] other = 0; reg first = 0, last = 0;"
        f" wire [{sum_bits - 1}:0] zero = 0;",
        f"""first = cycle % {_HELD_CYCLES} == 0;
                last = cycle % {_HELD_CYCLES} == {_HELD_CYCLES - 1};
                moving = $random;
                other = $random;""",
    )


def requantizer(sum_bits: int) -> str:
    """Sums of up to 20 bits, scales that make values of 8 bits of them."""
    width = min(sum_bits, 20)
    places = 127 - (width - 8)
    return _clocked(
        ".clk(clk), .sum(sum), .bias(bias), .scale(scale), .zero_point(9'd0), .low(-9'sd128), .high(9'sd127)",
        f"reg signed [{sum_bits - 1}:0] sum = 0; reg signed [{width - 1}:0] narrow; reg signed [31:0] bias = 0;"
        " reg [31:0] scale = 0;",
        f"""narrow = $random;
                sum = narrow;
                narrow = $random;
                bias = narrow >>> 3;
                scale = {{1'b0, 8'd{places}, 23'd0}} + ($random & 32'h007fffff);""",
    )


def fixed_point(sum_bits: int, factor_bits: int) -> str:
    """The same for a factor with its highest bit set and a shift, or for a shift alone."""
    width = min(sum_bits, 20)
    places = max(factor_bits - 1, 0) + width - 8
    factor = ""
    if factor_bits:
        factor = f"scale[{factor_bits - 1}:0] = $random; scale[{factor_bits - 1}] = 1;"
    return _clocked(
        ".clk(clk), .sum(sum), .bias(bias), .scale(scale), .zero_point(9'd0), .low(-9'sd128), .high(9'sd127)",
        f"reg signed [{sum_bits - 1}:0] sum = 0; reg signed [{width - 1}:0] narrow; reg signed [31:0] bias = 0;"
        f" reg [{factor_bits + 5}:0] scale = 0;",
        f"""narrow = $random;
                sum = narrow;
                narrow = $random;
                bias = narrow >>> 3;
                scale[{factor_bits + 5}:{factor_bits}] = {places} - ($random & 1);
                {factor}""",
    )
