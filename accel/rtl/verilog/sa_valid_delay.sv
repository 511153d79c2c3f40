// A delay line for data with a valid bit; reset makes all of it invalid.
module sa_valid_delay #(
    parameter int BITS = 1,
    parameter int CYCLES = 1
) (
    input  wire             clk,
    input  wire             reset,
    input  wire             valid_in,
    input  wire  [BITS-1:0] in,
    output wire             valid_out,
    output wire  [BITS-1:0] out
);
    generate
        if (CYCLES < 2) begin : g_short
            if (CYCLES == 0) begin : g_wire
                wire unused_reset = reset;
                assign valid_out = valid_in;
            end else begin : g_register
                logic valid;
                always_ff @(posedge clk) valid <= valid_in && !reset;
                assign valid_out = valid;
            end
        end else begin : g_line
            logic [CYCLES-1:0] valid;
            always_ff @(posedge clk) valid <= reset ? '0 : {valid[CYCLES-2:0], valid_in};
            assign valid_out = valid[CYCLES-1];
        end
    endgenerate
    sa_delay #(
        .BITS  (BITS),
        .CYCLES(CYCLES)
    ) data (
        .clk(clk),
        .in (in),
        .out(out)
    );
endmodule
