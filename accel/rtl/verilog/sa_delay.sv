// A delay line: BITS wires that arrive CYCLES clocks later. No clocks at all is a wire.
module sa_delay #(
    parameter int BITS = 1,
    parameter int CYCLES = 1
) (
    input  wire             clk,
    input  wire  [BITS-1:0] in,
    output wire  [BITS-1:0] out
);
    generate
        if (CYCLES == 0) begin : g_wire
            wire unused_clk = clk;
            assign out = in;
        end else if (CYCLES == 1) begin : g_register
            logic [BITS-1:0] line;
            always_ff @(posedge clk) line <= in;
            assign out = line;
        end else begin : g_line
            // The newest word is the lowest.
            logic [CYCLES*BITS-1:0] line;
            always_ff @(posedge clk) line <= {line[(CYCLES-1)*BITS-1:0], in};
            assign out = line[CYCLES*BITS-1-:BITS];
        end
    endgenerate
endmodule
