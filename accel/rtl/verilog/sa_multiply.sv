// An exact integer multiplier with LATENCY pipeline registers behind it; the product is extended to SUM_BITS.
//
// XNOR: operands are -1, 0 and +1, of 2 bits. The lower one says that an operand is not 0, as all are but those of
// bubbles and idle rows and columns; the upper one is its sign, and whether both have the same makes the product.
module sa_multiply #(
    parameter int A_BITS = 8,
    parameter bit A_SIGNED = 1'b1,
    parameter int B_BITS = 8,
    parameter bit B_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,
    parameter int SUM_BITS = 32,
    parameter int LATENCY = 0
) (
    input  wire                       clk,
    input  wire         [ A_BITS-1:0] a,
    input  wire         [ B_BITS-1:0] b,
    output wire signed  [SUM_BITS-1:0] product
);
    // A product never needs the sign bits that its operands were given; without a sign it is unsigned.
    localparam int PRODUCT_BITS = XNOR ? 2 : A_BITS + B_BITS;

    wire [PRODUCT_BITS-1:0] exact;
    generate
        if (XNOR) begin : g_xnor
            wire there = a[0] && b[0];
            wire same = a[A_BITS-1] ~^ b[B_BITS-1];
            assign exact = {there && !same, there};
        end else begin : g_product
            // An unsigned operand gets a sign bit, so that one signed multiplier serves all four combinations.
            localparam int A_WIDTH = A_SIGNED ? A_BITS : A_BITS + 1;
            localparam int B_WIDTH = B_SIGNED ? B_BITS : B_BITS + 1;
            wire signed [A_WIDTH-1:0] a_value;
            wire signed [B_WIDTH-1:0] b_value;
            if (A_SIGNED) begin : g_a_signed
                assign a_value = a;
            end else begin : g_a_unsigned
                assign a_value = {1'b0, a};
            end
            if (B_SIGNED) begin : g_b_signed
                assign b_value = b;
            end else begin : g_b_unsigned
                assign b_value = {1'b0, b};
            end
            assign exact = a_value * b_value;
        end
    endgenerate

    wire [PRODUCT_BITS-1:0] arrived;
    sa_delay #(
        .BITS  (PRODUCT_BITS),
        .CYCLES(LATENCY)
    ) pipeline (
        .clk(clk),
        .in (exact),
        .out(arrived)
    );
    generate
        if (A_SIGNED || B_SIGNED) begin : g_signed
            assign product = SUM_BITS'($signed(arrived));
        end else begin : g_unsigned
            assign product = SUM_BITS'(arrived);
        end
    endgenerate
endmodule
