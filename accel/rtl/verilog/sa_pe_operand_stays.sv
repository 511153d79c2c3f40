// A processing element of an array in which an operand stays (weight stationary; input stationary with the operands'
// roles exchanged). One operand moves right, COLUMN_STEP clocks a PE, and sums move down, ROW_STEP clocks a PE.
module sa_pe_operand_stays #(
    parameter int MOVING_BITS = 8,
    parameter bit MOVING_SIGNED = 1'b1,
    parameter int HELD_BITS = 8,
    parameter bit HELD_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,
    parameter int SUM_BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit EXACT = 1'b0,  // no sum of this row can overflow
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter int ROW_STEP = 1,
    parameter int COLUMN_STEP = 1,
    parameter int MULTIPLIER_LATENCY = 0
) (
    input  wire                           clk,
    input  wire                           reset,
    // To the right: the operand, and with it the bank of the held operand that its fold uses.
    input  wire        [ MOVING_BITS-1:0] moving_in,
    input  wire                           bank_in,
    output wire        [ MOVING_BITS-1:0] moving_out,
    output wire                           bank_out,
    // Down: the operand that will stay, and the sums.
    input  wire        [   HELD_BITS-1:0] held_in,
    input  wire        [             1:0] load_in,
    output wire        [   HELD_BITS-1:0] held_out,
    output wire        [             1:0] load_out,
    input  wire signed [    SUM_BITS-1:0] sum_in,
    output wire signed [    SUM_BITS-1:0] sum_out,
    output wire                           overflow    // of the addition one clock ago
);
    wire [HELD_BITS-1:0] held;
    sa_stationary #(
        .BITS           (HELD_BITS),
        .DOUBLE_BUFFERED(DOUBLE_BUFFERED),
        .DOWN           (ROW_STEP)
    ) stationary (
        .clk     (clk),
        .reset   (reset),
        .in      (held_in),
        .load_in (load_in),
        .select  (bank_in),
        .out     (held_out),
        .load_out(load_out),
        .held    (held)
    );

    wire signed [SUM_BITS-1:0] product;
    sa_multiply #(
        .A_BITS  (MOVING_BITS),
        .A_SIGNED(MOVING_SIGNED),
        .B_BITS  (HELD_BITS),
        .B_SIGNED(HELD_SIGNED),
        .XNOR    (XNOR),
        .SUM_BITS(SUM_BITS),
        .LATENCY (MULTIPLIER_LATENCY)
    ) multiplier (
        .clk    (clk),
        .a      (moving_in),
        .b      (held),
        .product(product)
    );

    wire signed [SUM_BITS-1:0] sum;
    wire lost;
    sa_add #(
        .BITS    (SUM_BITS),
        .SATURATE(SATURATE),
        .EXACT   (EXACT)
    ) adder (
        .a       (sum_in),
        .b       (product),
        .sum     (sum),
        .overflow(lost)
    );

    generate
        if (EXACT) begin : g_exact
            assign overflow = lost;
        end else begin : g_flag
            logic flag;
            always_ff @(posedge clk) flag <= lost;
            assign overflow = flag;
        end
    endgenerate

    sa_delay #(
        .BITS  (SUM_BITS),
        .CYCLES(ROW_STEP)
    ) down (
        .clk(clk),
        .in (sum),
        .out(sum_out)
    );
    sa_delay #(
        .BITS  (MOVING_BITS + 1),
        .CYCLES(COLUMN_STEP)
    ) right (
        .clk(clk),
        .in ({bank_in, moving_in}),
        .out({bank_out, moving_out})
    );
endmodule
