// A triangle of registers in front of an edge of the array: lane i arrives STEP * i clocks later, or, with REVERSED
// (behind the array, to align what leaves it skewed), lane i arrives STEP * (LANES - 1 - i) clocks later.
module sa_skew #(
    parameter int LANES = 4,
    parameter int BITS = 8,
    parameter int STEP = 1,
    parameter bit REVERSED = 1'b0
) (
    input  wire                   clk,
    input  wire  [LANES*BITS-1:0] in,
    output wire  [LANES*BITS-1:0] out
);
    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            sa_delay #(
                .BITS  (BITS),
                .CYCLES(STEP * (REVERSED ? LANES - 1 - i : i))
            ) lane (
                .clk(clk),
                .in (in[i*BITS+:BITS]),
                .out(out[i*BITS+:BITS])
            );
        end
    endgenerate
endmodule
