// The registers of one PE that hold an operand in place while others stream past it.
//
// Single: one register, part of a shift register down the column. While `load` is high all PEs of a column shift.
//
// DOUBLE_BUFFERED: the operand travels down behind the running wave through DOWN registers of its own and is caught,
// when it is opposite its PE, in one of two banks that take turns from fold to fold. `catch_0`, `catch_1` are high for
// one clock, DOWN - 1 clocks later from PE to PE: the rows enter last row first, so that a row's operand has waited
// one clock less than that of the row below when the catch comes by. `select` names the bank that is in use; it
// arrives with the wave.
module sa_stationary #(
    parameter int BITS = 8,
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter int DOWN = 1
) (
    input  wire            clk,
    input  wire            reset,
    input  wire [BITS-1:0] in,
    input  wire [     1:0] load_in,   // {catch_1, catch_0}, or {unused, load}
    input  wire            select,
    output wire [BITS-1:0] out,
    output wire [     1:0] load_out,
    output wire [BITS-1:0] held
);
    generate
        if (DOUBLE_BUFFERED) begin : g_double
            logic [BITS-1:0] bank_0;
            logic [BITS-1:0] bank_1;
            always_ff @(posedge clk) begin
                if (reset) begin
                    bank_0 <= '0;
                    bank_1 <= '0;
                end else begin
                    if (load_in[0]) bank_0 <= in;
                    if (load_in[1]) bank_1 <= in;
                end
            end
            assign held = select ? bank_1 : bank_0;
            sa_delay #(
                .BITS  (BITS),
                .CYCLES(DOWN)
            ) down (
                .clk(clk),
                .in (in),
                .out(out)
            );
            sa_delay #(
                .BITS  (2),
                .CYCLES(DOWN - 1)
            ) load_down (
                .clk(clk),
                .in (load_in),
                .out(load_out)
            );
        end else begin : g_single
            wire unused_ok = select;
            logic [BITS-1:0] bank;
            always_ff @(posedge clk) begin
                if (reset) bank <= '0;
                else if (load_in[0]) bank <= in;
            end
            assign held = bank;
            assign out = bank;
            assign load_out = load_in;
        end
    endgenerate
endmodule
